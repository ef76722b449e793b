"""The pages people work with: worklist, case, connections. They read without JavaScript."""
