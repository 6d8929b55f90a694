// Go's net package: a goroutine for each connection.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
)

const readSize = 65536

var chunk = bytes.Repeat([]byte("x"), 65536)

var roles = map[string]func(net.Conn){
	"accept":  func(net.Conn) {},
	"reply":   reply,
	"echo":    echo,
	"discard": discard,
	"chargen": chargen,
}

func reply(conn net.Conn) {
	buffer := make([]byte, 4096) // a request fits
	if size, err := conn.Read(buffer); err == nil {
		conn.Write(buffer[:size])
	}
}

func echo(conn net.Conn) {
	buffer := make([]byte, readSize)
	for {
		size, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:size]); err != nil {
			return
		}
	}
}

func discard(conn net.Conn) {
	buffer := make([]byte, readSize)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func chargen(conn net.Conn) {
	for {
		if _, err := conn.Write(chunk); err != nil {
			return
		}
	}
}

func fail(message any) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

func main() {
	if len(os.Args) != 2 || roles[os.Args[1]] == nil {
		fail("usage: net_server accept | reply | echo | discard | chargen")
	}
	serve := roles[os.Args[1]]
	// Keep-alive would be three calls for each connection that no other server makes.
	config := net.ListenConfig{KeepAlive: -1}
	// The backlog is the system's maximum, TCP_NODELAY is on.
	listener, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("PORT", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		if os.Args[1] == "accept" {
			conn.Close() // needs no goroutine
			continue
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}
