"""Messages: `Message`, its envelope and attachments, and what is found in its bodies."""
