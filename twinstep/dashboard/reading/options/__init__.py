"""What the page "options" shows: open packages, what they can come to, and the last scan."""
