package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
)

// scrapeLog is promhttp's log. That a visitor does not take its answer is no fault of weir's, and is reported for each family of metrics
// that is left.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	for _, x := range v {
		var broken net.Error
		if err, ok := x.(error); ok && (errors.As(err, &broken) || errors.Is(err, net.ErrClosed)) {
			return
		}
	}
	l.log.Warn(strings.TrimSpace(fmt.Sprintln(v...)))
}
