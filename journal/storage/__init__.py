"""How the journal lies on disk or on a server: files, locks, connections, checked columns, faults."""
