"""What the pages show, read without writing: one module per page, and what they share."""
