"""Workers: processes of this machine, tasks of a Dask cluster, and several processes on one study.

`optimize.machines` is the way in; `local` and `dask` run a list of jobs, `luggage` packs what they need.
"""
