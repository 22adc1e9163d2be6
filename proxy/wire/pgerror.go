package wire

import "weir/proxy/pgerror"

// AppendErrorResponse writes an error as a client reads it, the fields in PostgreSQL's order. 'S' may be localised and 'V' may not;
// weir speaks English in both.
func AppendErrorResponse(dst []byte, e *pgerror.Error) []byte {
	return appendFields(dst, ServerErrorResponse, e)
}

// AppendErrorBody writes an ErrorResponse with that body.
func AppendErrorBody(dst, body []byte) []byte {
	dst, at := begin(dst, ServerErrorResponse)
	return end(append(dst, body...), at)
}

// AppendNoticeBody writes a NoticeResponse of that body.
func AppendNoticeBody(dst, body []byte) []byte {
	dst, at := begin(dst, ServerNoticeResponse)
	return end(append(dst, body...), at)
}

// AppendNoticeResponse writes a notice, which has the fields of an error.
func AppendNoticeResponse(dst []byte, e *pgerror.Error) []byte {
	return appendFields(dst, ServerNoticeResponse, e)
}

func appendFields(dst []byte, kind byte, e *pgerror.Error) []byte {
	dst, at := begin(dst, kind)
	dst = appendField(dst, 'S', e.Severity)
	dst = appendField(dst, FieldSeverity, e.Severity)
	dst = appendField(dst, FieldCode, e.Code)
	dst = appendField(dst, FieldMessage, e.Message)
	if e.Detail != "" {
		dst = appendField(dst, FieldDetail, e.Detail)
	}
	if e.Hint != "" {
		dst = appendField(dst, FieldHint, e.Hint)
	}
	return end(append(dst, 0), at)
}

func appendField(dst []byte, code byte, value string) []byte {
	return appendCString(append(dst, code), value)
}
