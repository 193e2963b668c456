"""The health page on the site: HTTPS, by pass, and no picture anywhere near it."""
