"""Parts of the model of trade quality: snapshots, reading, fitting, validation, and what is kept of it."""
