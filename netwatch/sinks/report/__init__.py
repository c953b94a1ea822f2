"""The HTML report: what it adds up while records pass, and the page that is made of it at the end."""
