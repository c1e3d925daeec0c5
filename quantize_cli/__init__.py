"""Turn a Hugging Face safetensors checkpoint into a quantized GGUF file."""
