package command_test

import (
	"fmt"

	"github.com/egalcluster/egal/slots/internal/command"
)

// A table finds the row of a call and the keys in it, or the text of the error.
func ExampleTable() {
	table, err := command.NewTable(command.Keyspace())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, call := range [][][]byte{
		{[]byte("MSET"), []byte("a"), []byte("1"), []byte("b"), []byte("2")},
		{[]byte("object"), []byte("ENCODING"), []byte("a")},
		{[]byte("get")},
	} {
		row, text := table.Find(call)
		if row == nil {
			fmt.Println(text)
			continue
		}
		positions, _ := row.Keys(call, nil)
		fmt.Println(row.FullName(), positions)
	}
	// Output:
	// mset [1 3]
	// object|encoding [2]
	// ERR wrong number of arguments for 'get' command
}
