"""Model families: configuration and tensor headers in; metadata, tensor recipes and traits out."""
