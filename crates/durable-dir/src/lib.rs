//! Files of one directory, written whole or not at all, whatever others do to the path.
