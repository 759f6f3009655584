"""What portfolio weights are made of: sleeves, fitting, walking forward, and budgets of risk."""
