"""The upload of finished files to the Hugging Face Hub, with a model card."""
