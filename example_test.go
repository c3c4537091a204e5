package egal_test

import (
	"bufio"
	"context"
	"fmt"
	"net"

	"github.com/egalcluster/egal"
)

func Example() {
	ctx := context.Background()
	node, err := egal.Start(ctx, egal.Config{FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if err := node.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Any client of Redis Cluster may connect.
	conn, err := net.Dial("tcp", node.Slots()[0].Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "PING\r\n")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Printf("%q %v\n", answer, err)
	// Output: "+PONG\r\n" <nil>
}
