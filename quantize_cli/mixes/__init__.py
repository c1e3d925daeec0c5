"""Which tensor gets which type: named tables of rules, what the user asks for, and the engine that reads both."""
