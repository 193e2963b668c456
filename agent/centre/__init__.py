"""The other end of the wire: keys, and opening what boxes have sealed."""
