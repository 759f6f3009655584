"""What the best of many is worth: Sharpe ratios and their errors, deflation, overfitting, chance."""
