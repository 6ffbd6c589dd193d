"""The components that ship with automl-opt, offered through the same entry point as anyone's."""
