"""Parts of the counterfactual ledger: cases as rows, and human decisions as signals that can be run."""
