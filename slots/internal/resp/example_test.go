package resp_test

import (
	"fmt"

	"github.com/egalcluster/egal/slots/internal/resp"
)

func ExampleParser() {
	var p resp.Parser
	buf := []byte("*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\nPING\r\n*1\r\n$4\r\nQU")
	for {
		args, n, err := p.Next(buf)
		if n == 0 || err != nil {
			fmt.Println(len(buf), "bytes of an unfinished command", err)
			break
		}
		fmt.Printf("%q\n", args)
		buf = buf[n:]
	}
	// Output:
	// ["GET" "foo"]
	// ["PING"]
	// 10 bytes of an unfinished command <nil>
}

func ExampleWriter() {
	w := resp.Writer{Protocol: 3}
	w.Map(1)
	w.BulkString("ratio")
	w.Double(0.5)
	fmt.Printf("%q\n", w.Buf)
	w = resp.Writer{Protocol: 2}
	w.Map(1)
	w.BulkString("ratio")
	w.Double(0.5)
	fmt.Printf("%q\n", w.Buf)
	// Output:
	// "%1\r\n$5\r\nratio\r\n,0.5\r\n"
	// "*2\r\n$5\r\nratio\r\n$3\r\n0.5\r\n"
}
