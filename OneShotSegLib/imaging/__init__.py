"""Images in physical space: reading, writing, resampling, intensity windows. Imports nothing of the other rooms."""
