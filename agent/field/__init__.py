"""Tools of the field technician."""
