package wire

import "encoding/binary"

// PeekNotification returns what a NotificationResponse says: the process that notifies, the channel and the payload.
func PeekNotification(body []byte) (pid uint32, channel, payload []byte, err error) {
	if len(body) < 4 {
		return 0, nil, nil, ErrTruncated
	}
	channel, rest, ok := cstring(body[4:])
	if !ok {
		return 0, nil, nil, ErrTruncated
	}
	payload, _, ok = cstring(rest)
	if !ok {
		return 0, nil, nil, ErrTruncated
	}
	return binary.BigEndian.Uint32(body), channel, payload, nil
}

// PutNotificationPID changes the process that a NotificationResponse, the whole message, names.
func PutNotificationPID(message []byte, pid uint32) {
	binary.BigEndian.PutUint32(message[HeaderLen:], pid)
}

// AppendNotification writes a NotificationResponse.
func AppendNotification(dst []byte, pid uint32, channel, payload string) []byte {
	dst, at := begin(dst, ServerNotification)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return end(appendCString(appendCString(dst, channel), payload), at)
}
