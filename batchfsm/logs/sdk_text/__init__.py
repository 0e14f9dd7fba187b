"""Reads the text that SDKs print of a batch: Python repr, Kotlin, Dart, Go and console.log."""
