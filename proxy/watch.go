package proxy

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// watchEvery is how often the files of the configuration are looked at, where it wants that.
const watchEvery = time.Second

// watch reads the configuration anew when one of its files has changed. A file may be seen half written, so it must have stayed as it is
// between two looks. It returns when weir has stopped.
func (p *Proxy) watch() {
	look := time.NewTicker(cmp.Or(p.options.watchEvery, watchEvery))
	defer look.Stop()
	known, last := stampOf(p.current.Load().Config.Files), ""
	for {
		select {
		case <-p.stopped:
			return
		case <-look.C:
		}
		c := p.current.Load().Config
		stamp := stampOf(c.Files)
		switch {
		case !c.Reload.Watch:
			known = stamp
		case stamp != known && stamp == last:
			known = stamp // whatever comes of it: the same files are not tried twice
			p.log.Info("the configuration's files have changed")
			_ = p.Reload() // the log says why not
			if now := p.current.Load().Config; !slices.Equal(now.Files, c.Files) {
				known = stampOf(now.Files)
			}
		}
		last = stamp
	}
}

// stampOf is different after a change of one of the files.
func stampOf(files []string) string {
	var b strings.Builder
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		fmt.Fprintln(&b, info.ModTime().UnixNano(), info.Size(), info.Mode())
	}
	return b.String()
}
