"""The files of a server: templates, and code that renders them."""
