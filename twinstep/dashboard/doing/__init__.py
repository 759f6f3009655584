"""What a person does from a page: forms, and what is laid before whoever can judge them."""
