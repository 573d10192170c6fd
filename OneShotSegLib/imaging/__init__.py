"""Images in physical space: reading, writing, resampling, label maps, HU windows; imports no other room."""
