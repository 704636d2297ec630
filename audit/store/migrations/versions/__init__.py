"""One module per schema revision, in the order of `audit.store.database.REVISIONS`."""
