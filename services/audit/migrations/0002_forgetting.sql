-- migrate:up

-- The service's role may not delete from its log. This function deletes with the owner's rights: all events of orders
-- whose last event is old enough, since a part of a history would show as a gap, and none younger than half a year.
CREATE FUNCTION forget_events(age integer, from_row tid, to_row tid, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = audit, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    IF age IS NULL OR age < 180 THEN
        RAISE EXCEPTION 'the audit log is kept for at least 180 days, not %', age;
    END IF;
    DELETE FROM events WHERE ctid = ANY (ARRAY(
        SELECT e.ctid FROM events AS e
        WHERE e.ctid >= from_row AND e.ctid < to_row AND e.recorded_at < now() - make_interval(days => age)
            AND NOT EXISTS (
                SELECT FROM events AS other
                WHERE other.subject = e.subject AND other.recorded_at >= now() - make_interval(days => age)
            )
        LIMIT most FOR UPDATE OF e SKIP LOCKED
    ));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

REVOKE ALL ON FUNCTION forget_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_events TO audit;

-- migrate:down
DROP FUNCTION forget_events;
