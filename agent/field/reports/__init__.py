"""Reports that print: commissioning, self-inspection, the ledger of personal images, and the text of notice boards.

`rows`, `figures` and `views` are pure; `gather` reads the box; `printing` fills the templates.
"""
