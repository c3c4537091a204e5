package command

// Keyspace returns the rows of strings, of keys of any type, of the keyspace as a whole, and of COMMAND itself.
func Keyspace() []Command {
	return nil
}
