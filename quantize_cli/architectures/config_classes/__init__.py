"""What the configuration classes of transformers make of a config.json: tables of facts, and one step for each rule."""
