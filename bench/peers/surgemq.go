// SurgeMQ as a program that listens where it is told: its own example listens on port 1883 only.
//
// In a checkout of github.com/surgemq/surgemq, as cmd/peer/main.go, `go build -o surgemq ./cmd/peer`; then
// `node bench/figures.ts --peer surgemq=/path/to/surgemq`.
package main

import (
	"flag"
	"log"

	"github.com/surgemq/surgemq/service"
)

func main() {
	address := flag.String("addr", "127.0.0.1:1883", "where to listen")
	flag.Parse()
	server := &service.Server{
		KeepAlive: 300, ConnectTimeout: 5, AckTimeout: 20, TimeoutRetries: 3,
		SessionsProvider: "mem", TopicsProvider: "mem", Authenticator: "mockSuccess",
	}
	log.Fatal(server.ListenAndServe("tcp://" + *address))
}
