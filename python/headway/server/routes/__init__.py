"""The API's paths, a file for each kind: what is read, what is done, what comes in, what streams out."""
