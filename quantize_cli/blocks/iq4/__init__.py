"""IQ4 types: 4-bit levels on an uneven grid."""
