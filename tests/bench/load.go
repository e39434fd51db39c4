// Asks for the daemon's status over and over, with many clients at once, until it is told to end:
//
//	load SOCKET CLIENTS
//
// Prints, as JSON, how many requests a second were answered and how long they took.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func ask(client *http.Client) error {
	response, err := client.Get("http://localhost/v1/status")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func main() {
	clients, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	took := make([][]float64, clients)
	errors := make([]int, clients)
	var all sync.WaitGroup
	began := time.Now()
	for n := 0; n < clients; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			client := &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "unix", os.Args[1])
				}}}
			for ended.Err() == nil {
				at := time.Now()
				if ask(client) != nil {
					errors[n]++
					continue
				}
				took[n] = append(took[n], time.Since(at).Seconds())
			}
		}(n)
	}
	all.Wait()
	var whole []float64
	failed := 0
	for n := range took {
		whole = append(whole, took[n]...)
		failed += errors[n]
	}
	sort.Float64s(whole)
	result := map[string]float64{"errors": float64(failed), "requests": float64(len(whole)),
		"perSecond": float64(len(whole)) / time.Since(began).Seconds()}
	if len(whole) > 0 {
		result["p50Seconds"] = whole[len(whole)/2]
		result["p99Seconds"] = whole[len(whole)*99/100]
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}
