// Hides what the scripts at the end replace, before it is laid out. An older browser shows all tables instead.
if ("DecompressionStream" in window) document.documentElement.classList.add("scripted");
