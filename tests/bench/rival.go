// What a small program in Go with fsnotify takes to put a file back, for the benchmarks: the same
// as floor.c's heal.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// put replaces a file: a temporary one, fsync, rename, fsync of the directory.
func put(path string, content []byte) error {
	directory := filepath.Dir(path)
	file, err := os.CreateTemp(directory, ".new-")
	if err != nil {
		return err
	}
	if _, err = file.Write(content); err == nil {
		err = file.Chmod(0o644)
	}
	if err == nil {
		err = file.Sync()
	}
	file.Close()
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
		return err
	}
	parent, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

func main() {
	wanted := map[string][]byte{}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range os.Args[1:] {
		content, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		wanted[path] = content
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("ready")
	for {
		select {
		case event := <-watcher.Events:
			content, watched := wanted[event.Name]
			if !watched {
				continue
			}
			if now, err := os.ReadFile(event.Name); err == nil && bytes.Equal(now, content) {
				continue
			}
			if err := put(event.Name, content); err != nil {
				log.Print(err)
			}
		case err := <-watcher.Errors:
			log.Print(err)
		}
	}
}
