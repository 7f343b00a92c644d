"""Template, style and script of the page; the file makes setuptools take the folder along."""
