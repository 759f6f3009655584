"""What scoring a parameter set is made of: making it, and sharing what sets have in common."""
