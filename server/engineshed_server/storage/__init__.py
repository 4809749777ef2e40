"""Files of the server: package bytes by digest, the published metadata, what is trusted, locks."""
