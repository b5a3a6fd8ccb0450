"""Messages: `Message`, its envelope and attachments, and the links and codes in its bodies."""
