"""The grids of IQ1, IQ2 and IQ3 as data: which groups of levels can be stored.

Each file was written by tools/make_grids.py, from the tables of llama.cpp's ggml-common.h.
"""
