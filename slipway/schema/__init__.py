"""Migrations: who waits for them, and which releases they break."""
