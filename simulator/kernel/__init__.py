"""The compiled core: records, codes, risk rules, the step, and the loops over it.

Everything whose change could change a number lives in this folder, because numba's cache does not notice
changes in other files: the cache directory is named after a hash of these sources (`_jit`). Importing this
package imports no numba; its modules do.
"""
